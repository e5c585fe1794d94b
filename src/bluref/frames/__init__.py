"""Which frames there are, which are sharp, which sharp ones serve which blurry one, crops."""
