#!/bin/sh
# Asks the other container, by name, for its page; ends after some rounds, so that its restart policy has work.
trap 'exit 0' TERM INT
url=${URL:-http://web:8080/}
rounds=${ROUNDS:-10}
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    if page=$(wget -q -T 5 -O - "$url"); then
        host=$(echo "$page" | sed -n 's/.*id="host">\([^<]*\)<.*/\1/p')
        starts=$(echo "$page" | sed -n 's/.*id="starts">\([^<]*\)<.*/\1/p')
        echo "round $round of $rounds: $url answers: host $host, start $starts"
    else
        echo "round $round of $rounds: $url does not answer"
    fi
    sleep "${PAUSE:-5}" &
    wait $!
done
echo "done after $rounds rounds"
exit "${EXIT_CODE:-1}"
