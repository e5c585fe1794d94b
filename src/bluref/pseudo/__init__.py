"""References fused into pseudo-sharp targets with a trust map, and the bank that caches them."""
