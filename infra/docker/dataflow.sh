#!/bin/sh
# dataflow MODULE FOLDER: run a dataflow with its recovery store in FRESHET_HOME/FOLDER, made when it is not there.
# Of a cluster (BYTEWAX_ADDRESSES, ";" between them) each process keeps the partition with its own number, so that
# no two of them need the same disk; when one ends the others end too, and whoever restarts them starts all of it.
set -eu
folder="$FRESHET_HOME/$2"
if [ -z "$(find "$folder" -name '*.sqlite3' 2>/dev/null)" ]; then
    new="$folder.new"
    rm -rf "$new" && mkdir -p "$new" "$folder"
    processes=$(echo "${BYTEWAX_ADDRESSES:-alone}" | tr ';' '\n' | grep -c .)
    python -m bytewax.recovery "$new" "$processes"
    mv "$new/part-${BYTEWAX_PROCESS_ID:-0}.sqlite3" "$folder/"
    rm -rf "$new"
fi
exec python -m bytewax.run "$1:flow" -r "$folder" -s "${SNAPSHOT_EVERY_S:-30}" -b 0
