FROM busybox:test
COPY . /c/
