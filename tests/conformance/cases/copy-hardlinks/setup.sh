# Makes what git cannot hold; runs in a copy of this folder.
ln a b
mkdir d
ln a d/c
