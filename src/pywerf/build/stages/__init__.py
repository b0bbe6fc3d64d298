"""Copies the stages of a project from one repository to another, or to an archive and back.

origin = RepositoryOrigin(storage)                 # places.py; or ArchiveOrigin(path), archive.py
contents = all_contents(storage, project, jobs=5)  # contents.py: what there is to copy
target = RepositoryTarget(storage, …)              # or ArchiveTarget(path)
copy_stages(contents, origin, target, reporter, jobs=5)   # copy.py
"""
