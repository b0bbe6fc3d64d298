"""A project: git, werf.yaml and its templates, and from them contexts and Dockerfiles. Begin with `open_project`."""
