"""Where the stages of a project are kept, under names made of their content.

    storage = open_registry_storage("registry.example.com/shop", access, home=werf_home())      # open.py
    storage = LocalStageStorage("shop", backend)                                                # local.py

    for stage in storage.stages(): …               # StageId: digest and timestamp, `str()` is the tag
    found = storage.describe(stage)                # StageDescription: reference, ids, size, labels, commit
    storage.publish(image, stage, backend)         # never over another one
    storage.reject(stage); storage.delete(stage); storage.fetch(stage, backend)

What else a repository keeps has tags of its own, which records.py makes and reads; only a registry has them:

    records = storage.records                      # TagRecords, or None: local storage keeps none
    for image in managed_images(records): …
    records.write(ManagedImage("web").record)      # a tiny image whose labels carry the data
    records.delete(tag)                            # this tag alone, whatever else has the same manifest

base.py has the Protocols, model.py the values. Nobody but the drivers makes or cuts tags.
"""
