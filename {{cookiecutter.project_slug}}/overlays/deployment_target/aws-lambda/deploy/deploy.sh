{% from "overlays/deployment_target/macros.jinja" import name -%}
{% set stack = name(cookiecutter.project_slug, 60) -%}
#!/usr/bin/env bash
# Deploys the image from `make image` to AWS Lambda: `make deploy`; DRY_RUN=1 only shows the commands.
{% include "overlays/deployment_target/steps.sh" %}
need AWS_ACCOUNT_ID "the twelve digits of your AWS account"
need AWS_REGION "where it runs, for example eu-central-1"
ready

registry=$AWS_ACCOUNT_ID.dkr.ecr.$AWS_REGION.amazonaws.com
if [[ -z "${MODEL_VERSION:-}" ]]; then
  password=$(run aws ecr get-login-password --region "$AWS_REGION")
  run docker login --username AWS --password-stdin "$registry" <<<"$password"
  # Without attestations: Lambda accepts a single image, not an index with an image and attestations.
  run env BUILDX_NO_DEFAULT_ATTESTATIONS=1 docker build --build-arg "IMAGE=$built" --tag "$built-lambda" deploy
fi
push "$built-lambda" "$registry/$built"

run aws cloudformation deploy --region "$AWS_REGION" --stack-name {{ stack }} --template-file deploy/template.yaml \
  --no-fail-on-empty-changeset --parameter-overrides "Image=$image" "Concurrency=${CONCURRENCY:-10}"

url=$(run aws cloudformation describe-stacks --region "$AWS_REGION" --stack-name {{ stack }} \
  --query "Stacks[0].Outputs[?OutputKey=='Url'].OutputValue" --output text)
smoke "$url"
