#!/bin/bash
say() { printf '%s\n' "$1" >> "$EXPLR_EVENTS"; }
saved="$EXPLR_CHECKPOINT_DIR/epoch"
first=1; [ "$EXPLR_RESUME" = 1 ] && [ -f "$saved" ] && first=$(($(cat "$saved") + 1))
for epoch in $(seq "$first" 10); do
  loss=$(awk -v lr="$1" -v t="$epoch" 'BEGIN { print exp(-lr * t) }')
  say "{\"type\":\"metric\",\"key\":\"loss\",\"value\":$loss,\"step\":$epoch}"
  say "{\"type\":\"report\",\"value\":$loss,\"step\":$epoch}"
  echo "$epoch" > "$saved"
done
say "{\"type\":\"result\",\"key\":\"loss\",\"value\":$loss}"
