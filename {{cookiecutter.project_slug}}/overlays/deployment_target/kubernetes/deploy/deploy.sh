{% from "overlays/deployment_target/macros.jinja" import name -%}
{% set app = name(cookiecutter.project_slug, 46) -%}
#!/usr/bin/env bash
# Deploys the image from `make image` to Kubernetes: `make deploy`; DRY_RUN=1 only shows the commands.
{% include "overlays/deployment_target/steps.sh" %}
need CONTEXT "the cluster, one of \`kubectl config get-contexts --output name\`"
need REGISTRY "where the cluster pulls images from, such as ghcr.io/you"
ready

push "$built" "$REGISTRY/$built"
api=$image
trainer={{ cookiecutter.project_slug }}-retrain:$version
[[ -n "${MODEL_VERSION:-}" ]] || run docker build --file deploy/retrain.Dockerfile --tag "$trainer" .
push "$trainer" "$REGISTRY/$trainer"

mkdir -p build/kubernetes
cat >build/kubernetes/kustomization.yaml <<YAML
resources: [../../deploy/base]
images:
  - {name: api, newName: "$api"}
  - {name: retrain, newName: "$image"}
YAML
kubectl=(kubectl --context "$CONTEXT" --namespace {{ app }})
run "${kubectl[@]}" apply --kustomize build/kubernetes
run "${kubectl[@]}" rollout status deployment/api --timeout 180s

# Reaches the service with or without an Ingress.
forward=("${kubectl[@]}" port-forward service/api 18080:80)
show "${forward[@]}"
if [[ "${DRY_RUN:-}" != 1 ]]; then
  "${forward[@]}" >/dev/null &
  trap 'kill $!' EXIT
fi
smoke http://127.0.0.1:18080
