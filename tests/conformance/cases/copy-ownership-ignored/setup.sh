# Makes what git cannot hold; runs in a copy of this folder.
mkdir d && echo x > d/x
chown -R 1234:4321 .
