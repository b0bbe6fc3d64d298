# Makes what git cannot hold; runs in a copy of this folder.
echo 'compressed, but no archive' | gzip -nc > packed.gz
