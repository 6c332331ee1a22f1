#!/usr/bin/env bash
# `cruft update` and `cruft check` end with exit code 0 although part of the update was not applied.
#
# Versions: cruft 2.16.0, cookiecutter 2.7.1; seen with Python 3.11 and git 2.39 on Linux.
#
# A project is created from a local template, edited, and committed. The template then changes the
# line that was edited. `git apply` rejects that change, so cruft leaves it in `greeting.txt.rej`.
#
# Expected: an exit code other than 0, or at least a failing `cruft check`, because the project lacks
# a change of the template.
# Seen: `cruft update --skip-apply-ask` prints that *.rej files may exist, then "Good work! Project's
# cruft has been updated and is as clean as possible!", records the new commit, and exits with 0.
# `cruft check` prints "SUCCESS: ..." and exits with 0.
#
# This script exits with 0 as long as that is so, and with 1 when it is not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HOME="$folder/home" GIT_CONFIG_GLOBAL="$folder/gitconfig" GIT_CONFIG_NOSYSTEM=1
mkdir "$HOME"
git config --global user.name "A Reader"
git config --global user.email reader@example.invalid
git config --global init.defaultBranch main

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cruft==2.16.0 cookiecutter==2.7.1
cruft() { "$folder/venv/bin/python" -m cruft "$@"; }

# A template with one file.
template="$folder/template"
mkdir -p "$template/{{ cookiecutter.name }}"
printf '{"name": "hello"}\n' > "$template/cookiecutter.json"
printf 'Good morning\n' > "$template/{{ cookiecutter.name }}/greeting.txt"
git -C "$template" init --quiet
git -C "$template" add --all
git -C "$template" commit --quiet --message "Greet in the morning"

# A project from it, edited before its first commit.
mkdir "$folder/work"
cd "$folder/work"
cruft create "$template" --no-input > /dev/null
cd hello
printf 'Good morning, everybody\n' > greeting.txt
git init --quiet
git add --all
git commit --quiet --message "Greet everybody"

# The template changes the same line.
printf 'Good evening\n' > "$template/{{ cookiecutter.name }}/greeting.txt"
git -C "$template" commit --quiet --all --message "Greet in the evening"

update=0 check=0
cruft update --skip-apply-ask || update=$?
cruft check || check=$?

echo
echo "cruft update: exit code $update"
echo "cruft check:  exit code $check"
echo "greeting.txt: $(cat greeting.txt)"
if [[ ! -e greeting.txt.rej ]]; then
  echo "changed: greeting.txt.rej does not exist"
  exit 1
fi
echo "greeting.txt.rej:"
cat greeting.txt.rej
if ((update != 0 || check != 0)); then
  echo "changed: an exit code is not 0"
  exit 1
fi
grep --quiet --fixed-strings 'Good morning, everybody' greeting.txt
echo "as before: both exit codes are 0, and the template's change is only in greeting.txt.rej"
