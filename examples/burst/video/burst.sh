#!/bin/sh
# Encodes a clip by as many functions as it has seconds: ./burst.sh [directory [clip]]
# Splits the clip, maps encode-chunk over the pieces, joins the answers, and compares the result with what one process
# makes of the same pieces.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
clip=${2:-}
concurrency=${CONCURRENCY:-8}
: "${THAW:=thaw}"
tool() { ffmpeg -hide_banner -loglevel error -nostdin -y "$@"; }
frames() { ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 "$1"; }
join() { # directory result
  for piece in "$1"/*.mkv; do printf "file '%s'\n" "${1##*/}/${piece##*/}"; done >"$1.txt"
  tool -f concat -safe 0 -i "$1.txt" -c copy "$2"
}

mkdir -p "$work/pieces" "$work/alone"
if [ -z "$clip" ]; then
  clip=$work/clip.mkv
  tool -f lavfi -i "testsrc2=size=640x360:rate=24:duration=${SECONDS_OF_CLIP:-12}" -c:v ffv1 "$clip"
fi
# Each frame of the pieces stands by itself, so that a piece needs none of its neighbours.
tool -i "$clip" -map 0:v:0 -c:v ffv1 -g 1 -f segment -segment_time 1 -reset_timestamps 1 "$work/pieces/%04d.mkv"

"$THAW" map encode-chunk "$work"/pieces/*.mkv --concurrency "$concurrency" -o "$work/encoded"
join "$work/encoded" "$work/result.mkv"

for piece in "$work"/pieces/*.mkv; do "$here/code/encode.sh" <"$piece" >"$work/alone/${piece##*/}"; done
join "$work/alone" "$work/expected.mkv"

for name in result expected; do tool -i "$work/$name.mkv" -f framemd5 "$work/$name.md5"; done
if [ "$(frames "$clip")" != "$(frames "$work/result.mkv")" ] || ! cmp -s "$work/result.md5" "$work/expected.md5"; then
  echo "the joined clip is not what one process makes of it: see $work" >&2
  exit 1
fi
echo "$(ls "$work/pieces" | wc -l) pieces, $(frames "$work/result.mkv") frames, the same as by one process: $work/result.mkv"
