"""Public logs, as the authority meets them: asked for timestamps, and believed in nothing that can be checked."""
