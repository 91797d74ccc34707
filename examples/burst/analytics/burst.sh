#!/bin/sh
# Asks one question of a table by many functions and by one process, and compares: ./burst.sh [directory]
set -eu
work=${1:-$(mktemp -d)}
concurrency=${CONCURRENCY:-8}
parts=${PARTS:-8} buckets=${BUCKETS:-8} orders=${ORDERS:-2000000} customers=${CUSTOMERS:-50000}
: "${THAW:=thaw}"

mkdir -p "$work"
"$THAW" bucket list | grep -q "^burst-lake\b" || "$THAW" bucket create burst-lake
: >"$work/generate" && : >"$work/partition" && : >"$work/aggregate"
for table in customers orders; do
  rows=$orders
  [ "$table" = orders ] || rows=$customers
  for part in $(seq 0 $((parts - 1))); do
    printf '{"table":"%s","part":%d,"first":%d,"last":%d,"customers":%d}\n' \
      "$table" "$part" $((rows * part / parts)) $((rows * (part + 1) / parts)) "$customers" >>"$work/generate"
    printf '{"table":"%s","part":%d,"buckets":%d}\n' "$table" "$part" "$buckets" >>"$work/partition"
  done
done
for bucket in $(seq 0 $((buckets - 1))); do printf '{"bucket":%d}\n' "$bucket" >>"$work/aggregate"; done

for step in generate partition aggregate; do
  "$THAW" map "lake-$step" --lines "$work/$step" --concurrency "$concurrency" -o "$work/$step.answers"
done
"$THAW" invoke lake-collect -d '' >"$work/answer"
"$THAW" invoke lake-alone -d '' >"$work/expected"
if ! cmp "$work/answer" "$work/expected"; then
  echo "the functions' answer is not DuckDB's own: see $work" >&2
  exit 1
fi
cat "$work/answer"
echo "$orders orders in $parts parts and $buckets buckets, the same as by one process" >&2
