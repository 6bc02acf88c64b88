"""Model to PSNR and SSIM."""
