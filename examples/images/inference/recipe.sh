command=(python3 /app/server.py)
environment=(PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=2 TF_ENABLE_ONEDNN_OPTS=0 CUDA_VISIBLE_DEVICES=-1)
user=nobody

# The model is learnt here, from the pictures that scikit-learn's package brings, in the image that will ask it.
prepare() {
  python3 -m pip download --quiet --disable-pip-version-check --cache-dir "$cache/pip" --no-deps --only-binary=:all: \
    --python-version=3.11 --platform="manylinux_2_28_$(uname -m)" --platform="manylinux_2_27_$(uname -m)" \
    --dest "$work/wheels" scikit-learn==1.9.1
  python3 -c 'import sys, zipfile; [wheel, to] = sys.argv[1:]
sys.stdout.buffer.write(b""); open(to, "wb").write(zipfile.ZipFile(wheel).read("sklearn/datasets/data/digits.csv.gz"))' \
    "$work/wheels"/scikit_learn-*.whl "$work/digits.csv.gz"
  in_image "$1" "$2" --ro-bind "$work/digits.csv.gz" /tmp/digits.csv.gz --setenv TF_CPP_MIN_LOG_LEVEL 2 \
    --setenv TF_ENABLE_ONEDNN_OPTS 0 -- python3 /app/train.py /tmp/digits.csv.gz
}
