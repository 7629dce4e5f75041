"""What calls told about deployments, folded into what routing asks about them."""
