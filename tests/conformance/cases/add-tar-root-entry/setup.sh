# Makes what git cannot hold; runs in a copy of this folder.
mkdir t && echo 1 > t/one && chmod 711 t
tar --sort=name --mtime=@1000000000 --owner=7 --group=8 --numeric-owner -C t -cf plain.tar . && rm -r t
