"""From a model to PSNR and SSIM."""
