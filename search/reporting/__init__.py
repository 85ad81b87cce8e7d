"""What people look at and take away: page, plots, model card, bundle."""
