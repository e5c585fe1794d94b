"""Networks on disk, and the small ones that come with the package."""
