# Makes what git cannot hold; runs in a copy of this folder.
mkdir t && cd t && mkdir -p d/e && echo 1 > one && echo 2 > d/e/two && ln -s one link && ln one hard && chmod 640 d/e/two
cd .. && tar --sort=name --mtime=@1000000000 --owner=7 --group=8 --numeric-owner -C t -cf plain.tar d hard link one && rm -r t
