#!/usr/bin/env bash
# cfn-lint passes limits in a SAM template that it rejects in the template that SAM makes of it.
#
# Versions: cfn-lint 1.58.0, aws-sam-translator 1.115.0; seen with Python 3.11 on Linux.
#
# A function has a timeout of 1,000 seconds and a disk of 99 GB: more than AWS allows of either.
# cfn-lint's README says that a SAM template "is transformed using AWS SAM before the linter processes
# the template".
#
# Expected: the same errors for the SAM template and for its transformation.
# Seen: the SAM template has no finding, and exit code 0. Its transformation by SAM's own translator has
# two errors, E3717 (timeout) and E3034 (disk), and exit code 2. So linting a SAM template alone says
# little about the limits of what is deployed.
#
# This script exits with 0 as long as that is so, and with 1 when it is not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  cfn-lint==1.58.0 aws-sam-translator==1.115.0
export AWS_DEFAULT_REGION=us-east-1

cat > "$folder/sam.yaml" <<'YAML'
Transform: AWS::Serverless-2016-10-31
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://bucket/code.zip
      Handler: app.handler
      Runtime: python3.13
      Timeout: 1000
      EphemeralStorage: {Size: 99000}
YAML
"$folder/venv/bin/python" - "$folder/sam.yaml" > "$folder/transformed.json" <<'CODE'
import json
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

print(json.dumps(transform(yaml_parse(open(sys.argv[1]).read()), {}, None)))
CODE

source=0 transformed=0
"$folder/venv/bin/cfn-lint" --template "$folder/sam.yaml" || source=$?
"$folder/venv/bin/cfn-lint" --template "$folder/transformed.json" > "$folder/errors" || transformed=$?
grep '^E' "$folder/errors"
echo "exit code of the SAM template: $source, of its transformation: $transformed"
((source == 0 && transformed == 2))
grep --quiet '^E3717 1000 ' "$folder/errors"
grep --quiet '^E3034 99000 ' "$folder/errors"
