"""PSNR, SSIM and the other figures, each with its protocol."""
