"""From an HR image to a degraded LR image: files of operations, what is drawn from them, and how it is carried out."""
