# Owners, set-id bits, file capabilities, devices of the base, fifos, links, removals, replaced directories: every RUN
# gives the same bytes each time when its times are clamped.
FROM base AS one
RUN useradd -m -u 1234 app && sed -i 's/^app:\([^:]*\):[0-9]*:/app:\1:1:/' /etc/shadow && rm -f /etc/*- \
 && mkdir -p /srv/app && echo hi > /srv/app/x && chown app:app /srv/app && chown 65534:65533 /srv/app/x
RUN cp /bin/true /usr/local/bin/suid && chown app:daemon /usr/local/bin/suid && chmod 6755 /usr/local/bin/suid
RUN cp /bin/true /usr/local/bin/cap && perl -e 'my ($f, $n) = ("/usr/local/bin/cap", "security.capability"); \
 my $v = pack("VVVVV", 0x02000001, 1 << 13, 0, 0, 0); syscall(188, $f, $n, $v, 20, 0) == 0 or die $!'
RUN mkdir -m 2775 /nodes && chown 0:33 /nodes && mknod /nodes/null c 1 3 && mknod -m 600 /nodes/disk b 8 17 \
 && mknod /nodes/fifo p && (umask 077 && mknod /nodes/tty c 5 0) && chown app /nodes/tty && ! mknod /nodes/null c 1 3 \
 && (cd /nodes && mkdir -p in/root && mknod in/zero c 1 5 && cp -a in/zero in/root/zero) \
 && mkdir -p /chroot && cp -a /bin /lib /lib64 /usr /chroot/ 2>/dev/null && chroot /chroot mknod /full c 1 7 \
 && mv /chroot/full /nodes/ && rm -rf /chroot
RUN mkfifo /fifo && ln -s x /link && rm -rf /usr/share/doc/bash && mkdir -p /usr/share/doc/bash \
 && touch /usr/share/doc/bash/new && rm /etc/issue && ln /etc/passwd /passwd && mv /usr/share/perl5 /usr/share/perl55 \
 && install -d -m 1777 -o app -g 33 /sticky && touch -d @5 /etc/motd
RUN mkdir /links && cd /links && ln -s a one && ln -s b two && chown -h app:daemon one && chown -h 7:8 two && mv two three \
 && ln one hard && touch -h -d @9 one && mkfifo pipe && chown app pipe && touch pipe && cp -a one copied && cp -a pipe pipe2 \
 && mkdir /srv/t && tar -c one three pipe | tar -x -C /srv/t && rm three && ln -s c three && chown -h 5:6 /bin/sh \
 && mkdir -m 2775 group && chown app:33 group && echo x > group/file && mkdir group/dir && ln -s x group/link \
 && mkfifo group/fifo && chown --from=app :9 group && chmod 0 group/file && cat group/file && find / -xdev -user 7
RUN cp /usr/bin/id /usr/local/bin/suid-id && chown daemon:33 /usr/local/bin/suid-id && chmod 6755 /usr/local/bin/suid-id \
 && su app -s /bin/sh -c 'umask 027; cd; mkdir made; touch made/file; ln -s file made/link; mkfifo made/fifo; id > made/id; \
 chmod 4750 made/file; stat -c %u:%g:%a made/file made/link made/fifo >> made/id; suid-id -u >> made/id; suid-id -g >> made/id; \
 ln made/file made/hard; mv made/link made/moved; chown root made/file 2>> made/id; mkdir made/.new && mv made/.new made/dir; \
 perl -e "print join q( ), $<, $>, getpwuid(\$<) || 0" >> made/id' \
 && perl -e '$) = "33 33 9"; $> = 1234; mkdir "/tmp/mine" or die; open F, ">/tmp/mine/f" or die; print F "$< $> $)"; $> = 0; \
 open G, ">/tmp/roots" or die; print G "$< $> $("' && mv /tmp/mine /tmp/roots /srv/ && chown -h 99:98 /srv/t/one && cp -a /links /srv/links
COPY --chown=app:app Dockerfile /home/app/
USER app
WORKDIR /home/app/work
RUN echo user > mine && id > id
FROM scratch
COPY --from=one /dev /dev2
COPY --from=one /nodes /nodes
COPY --from=one /links /links
COPY --from=one /home /home
COPY --from=one /usr/local/bin /bin
COPY --from=one /srv /srv
