{% from "overlays/deployment_target/macros.jinja" import name -%}
{% set app = name(cookiecutter.project_slug, 49) -%}
#!/usr/bin/env bash
# Deploys to Google Cloud Run what `make image` built: `make deploy`, and with DRY_RUN=1 the commands only.
{% include "overlays/deployment_target/steps.sh" %}
need PROJECT_ID "the id of your Google Cloud project"
need REGION "where it runs, such as europe-west1"
ready

push "$built" "$REGION-docker.pkg.dev/$PROJECT_ID/{{ app }}/$built"

mkdir -p build
sed "s|\${IMAGE}|$image|; s|\${PROJECT_ID}|$PROJECT_ID|" deploy/service.yaml >build/service.yaml
run gcloud run services replace build/service.yaml --project "$PROJECT_ID" --region "$REGION"

url=$(run gcloud run services describe {{ app }} --project "$PROJECT_ID" \
  --region "$REGION" --format "value(status.url)")
smoke "$url"
