{% from "overlays/deployment_target/macros.jinja" import name -%}
#!/usr/bin/env bash
# Deploys the image from `make image` to Azure Container Apps: `make deploy`; DRY_RUN=1 only shows the commands.
{% include "overlays/deployment_target/steps.sh" %}
need RESOURCE_GROUP "the resource group of the app"
need REGISTRY "the name of your container registry and key vault, without .azurecr.io"
ready

[[ -n "${MODEL_VERSION:-}" ]] || run az acr login --name "$REGISTRY"
push "$built" "$REGISTRY.azurecr.io/$built"

url=$(run az deployment group create --resource-group "$RESOURCE_GROUP" --name {{ name(cookiecutter.project_slug, 32) }} \
  --template-file deploy/template.json --parameters "registry=$REGISTRY" "image=$image" \
  --query properties.outputs.url.value --output tsv)
smoke "$url"
