set -euo pipefail
cd "$(dirname "$0")/.."
exec 3>&1  # for showing commands, including those in $(...)
missing=""

complain() { echo "error: $*" >&2; }

need() {  # SETTING WHAT: require a setting; a dry run uses its name as its value
  if [[ -z "${!1:-}" && "${DRY_RUN:-}" == 1 ]]; then
    echo "$1: not set, shown by its name; $2" >&2
    printf -v "$1" %s "$1"
  elif [[ -z "${!1:-}" ]]; then
    complain "$1: not set; $2"
    missing=yes
  fi
}

show() { echo "+$(printf ' %q' "$@")" >&3; }

run() {  # COMMAND...: show a command, and run it unless DRY_RUN=1
  show "$@"
  [[ "${DRY_RUN:-}" == 1 ]] || "$@"
}

ready() {  # exit if anything is missing; set `version` (of the model) and `built` (its image)
  version=${MODEL_VERSION:-$(sed -n 's/^  "version": "\([^"]*\)".*/\1/p' models/manifest.json 2>/dev/null)} || true
  [[ -n "$version" || "${DRY_RUN:-}" != 1 ]] || version=VERSION
  [[ -n "$version" ]] || { complain "models/manifest.json: no model; run \`make pipeline image\`"; missing=yes; }
  [[ -z "$missing" ]] || exit 1
  built={{ cookiecutter.project_slug }}:$version
  [[ -n "${MODEL_VERSION:-}" ]] || run docker image inspect "$built" >/dev/null ||
    { complain "$built: not built yet; run \`make image\`"; exit 1; }
}

push() {  # LOCAL REMOTE: push an image; set `image`, the reference to deploy
  image=$2
  [[ -z "${MODEL_VERSION:-}" ]] || return 0  # an earlier image, already in the registry
  run docker tag "$1" "$2"
  run docker push "$2"
  # Deploy by digest: new code with the same model is another image under the same name.
  digests=$(run docker image inspect --format '{{ "{{" }}join .RepoDigests " "}}' "$2")
  for digest in $digests; do
    [[ "$digest" != "${2%:*}@"* ]] || image=$digest
  done
}

smoke() {  # URL: send the service one real request
  run python3 kit/portfolio_kit/deploy/smoke_test.py "${1:-URL}"
  [[ "${DRY_RUN:-}" == 1 ]] || echo "serving at $1"
}
