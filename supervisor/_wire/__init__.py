"""What travels over the pipes: values as bytes, frames, and large binaries beside them."""
