"""Training and fine-tuning: the loop, masks, fake quantization, algorithms of methods."""
