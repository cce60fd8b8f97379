#!/bin/sh
# Writes the page into the volume, counts the starts there, and serves it.
set -e
page=/www/index.html
starts=$(cat /www/starts.txt 2>/dev/null || echo 0)
case $starts in '' | *[!0-9]*) starts=0 ;; esac
starts=$((starts + 1))
echo "$starts" >/www/starts.txt.new
mv /www/starts.txt.new /www/starts.txt
text() { printf '%s' "${1:-unknown}" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g'; }
cat >"$page.new" <<HTML
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Hull on $(text "$HULL_HOSTNAME")</title>
<h1>Hull</h1>
<dl>
<dt>Host</dt><dd id="host">$(text "$HULL_HOSTNAME")</dd>
<dt>OS version</dt><dd id="version">$(text "$HULL_OS_VERSION")</dd>
<dt>Deployment</dt><dd id="deployment">$(text "$HULL_DEPLOYMENT")</dd>
<dt>Starts of this container, from its volume</dt><dd id="starts">$starts</dd>
</dl>
</html>
HTML
mv "$page.new" "$page"
echo "serving /www on port 8080, start number $starts"
exec busybox httpd -f -v -p 8080 -h /www
