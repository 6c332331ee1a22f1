{% from "overlays/deployment_target/macros.jinja" import name -%}
{% set app = name(cookiecutter.project_slug, 49) -%}
#!/usr/bin/env bash
# Deploys the image from `make image` to Google Cloud Run: `make deploy`; DRY_RUN=1 only shows the commands.
{% include "overlays/deployment_target/steps.sh" %}
need PROJECT_ID "the id of your Google Cloud project"
need REGION "where it runs, for example europe-west1"
ready

push "$built" "$REGION-docker.pkg.dev/$PROJECT_ID/{{ app }}/$built"

mkdir -p build
sed "s|\${IMAGE}|$image|; s|\${PROJECT_ID}|$PROJECT_ID|" deploy/service.yaml >build/service.yaml
run gcloud run services replace build/service.yaml --project "$PROJECT_ID" --region "$REGION"

url=$(run gcloud run services describe {{ app }} --project "$PROJECT_ID" \
  --region "$REGION" --format "value(status.url)")
smoke "$url"
