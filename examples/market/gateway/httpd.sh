# httpd.sh SERVICE…: the configuration of a httpd that sends /SERVICE/ to the host of that name
echo "H:/srv"
for service in "$@"; do
    echo "P:/$service:http://$service:8080/cgi-bin"
done
