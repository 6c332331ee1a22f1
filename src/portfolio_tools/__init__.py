"""What the template does for a project after generation: it ejects kit modules, and updates."""
