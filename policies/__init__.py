"""Typed rules: what an authority may issue, and what a user may believe. They decide on facts; they fetch nothing."""
