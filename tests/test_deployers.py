"""Who deploys from GitHub: the commands of deploy/github.md, run with clients that only record.

Each target's policies are read as the provider would read them: the deployer must be able to do
what a deployment does, and nothing that changes what it, or anyone, may do.
"""

import fnmatch
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import manifest_checks
import pytest
import yaml
from conftest import environment
from test_deployment import SETTINGS, built_by_hand, validators  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for bash")

ISSUER = "https://token.actions.githubusercontent.com"
OWNER, NUMBER = 4711, 123456789
NAME = f"repo:you@{OWNER}/project@{NUMBER}"
SUBJECT = f"{NAME}:environment:production"
# A client that records its arguments and its input, and answers with what was asked for.
CLIENT = f"""#!{sys.executable}
import json, os, sys
command = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
piped = any(word in ("-", "--data-file=-") for word in command)
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([command, sys.stdin.read() if piped else ""]), file=calls)

def option(name):
    return command[command.index(name) + 1]

if command[0] == "gh" and "--jq" in command:
    print({NUMBER} if option("--jq") == ".id" else {NAME!r})
if command[:2] == ["gcloud", "projects"]:
    print(314)
if command[0] == "az" and "--query" in command:
    kinds = {{"acr": "registries", "keyvault": "vaults", "identity": "identities", "group": ""}}
    if option("--query") == "principalId":
        print("principal of " + option("--name"))
    elif command[1] == "group":
        print("/groups/" + option("--name"))
    else:
        group = option("--resource-group") if "--resource-group" in command else ""
        print(f"/groups/{{group}}/{{kinds.get(command[1], 'users')}}/" + option("--name")
              if "--name" in command else "me")
"""


@pytest.fixture(scope="module")
def setups(bake_in, tmp_path_factory):
    """Return what both documents set up for each target: the calls, and the folder that it left."""
    clients = tmp_path_factory.mktemp("clients")
    for name in ("aws", "az", "docker", "gcloud", "gh", "kubectl"):
        (clients / name).write_text(CLIENT)
        (clients / name).chmod(0o755)

    def set_up(target):
        project = bake_in(tmp_path_factory.mktemp("deployers"), deployment_target=target)
        work = tmp_path_factory.mktemp("work")
        first = project.read("deploy/README.md").split("## First time")[1].split("\n## ")[0]
        text = first + project.read("deploy/github.md")
        blocks = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
        commands = [(indent, block) for indent, language, block in blocks if not language]
        lines = [re.sub(rf"(?m)^{indent}", "", block) for indent, block in commands]
        (work / "calls").write_text("")
        script = "set -eu\n" + "\n".join(lines)
        variables = environment(
            PATH=f"{clients}{os.pathsep}{os.environ['PATH']}", CALLS=str(work / "calls")
        )
        done = subprocess.run(
            ["bash", "-c", script], cwd=work, env=variables, capture_output=True, encoding="utf-8"
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        calls = [json.loads(line) for line in (work / "calls").read_text().splitlines()]
        return SimpleNamespace(project=project, folder=work, calls=calls, text=text)

    return {target: set_up(target) for target in SETTINGS}


def options(command):
    """Return the options of a command by name; flags are true."""
    found = {}
    for word, following in zip(command, [*command[1:], "--"], strict=True):
        if word.startswith("--"):
            name, is_equal, value = word.partition("=")
            found[name[2:]] = value if is_equal else following if following[:2] != "--" else True
    return found


def calls(setup, *start):
    """Return the options of the calls that begin with these words, each with its fourth word."""
    found = [command for command, _ in setup.calls if tuple(command[: len(start)]) == start]
    return [{"": command[len(start)], **options(command)} for command in found]


# Amazon Web Services: policies are evaluated, as far as these ones go: Allow, names with asterisks.


def allows(policy, action, resource, **context):
    """Tell whether a policy allows an action on a resource, with these keys of the context."""
    for statement in policy["Statement"]:
        assert set(statement) <= {"Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        [actions, resources] = (
            [one] if isinstance(one := statement[name], str) else one
            for name in ("Action", "Resource")
        )
        conditions = statement.get("Condition", {"StringEquals": {}})
        assert set(conditions) == {"StringEquals"}
        if (
            any(fnmatch.fnmatchcase(action.lower(), one.lower()) for one in actions)
            and any(fnmatch.fnmatchcase(resource, one) for one in resources)
            and all(context.get(key) == value for key, value in conditions["StringEquals"].items())
        ):
            return True
    return False


ACCOUNT = "123456789012"
# What a deployment calls, by the kind of its resource.
AWS_NEEDED = {
    "ecr": ["InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage"],
    "cloudformation": ["CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet"],
    "lambda": ["CreateFunction", "GetFunction", "UpdateFunctionCode", "PutFunctionConcurrency"],
    "logs": ["CreateLogGroup", "PutRetentionPolicy"],
}
# What changes a role, a policy of a role, or who may be it; and what changes a resource's policy.
AWS_CHANGES = [
    *("iam:" + name for name in (
        "AttachRolePolicy", "CreatePolicy", "CreatePolicyVersion", "CreateRole", "DeleteRole",
        "DeleteRolePermissionsBoundary", "DeleteRolePolicy", "DetachRolePolicy", "PutRolePolicy",
        "PutRolePermissionsBoundary", "SetDefaultPolicyVersion", "TagRole", "UpdateRole",
        "UpdateAssumeRolePolicy", "UpdateOpenIDConnectProviderThumbprint",
        "AddClientIDToOpenIDConnectProvider", "CreateOpenIDConnectProvider", "CreateUser",
        "CreateAccessKey", "CreateServiceLinkedRole", "AttachUserPolicy", "PutUserPolicy",
    )),
    "sts:AssumeRole", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy",
    "cloudformation:SetStackPolicy", "logs:PutResourcePolicy", "lambda:AddLayerVersionPermission",
    "secretsmanager:GetSecretValue", "secretsmanager:PutResourcePolicy",
]  # fmt: skip


@pytest.fixture(scope="module")
def aws(setups):
    """Return the deployer's name, what it may do, and the resources of a deployment."""
    setup = setups["aws-lambda"]
    [attached] = [
        call for call in calls(setup, "aws", "iam", "put-role-policy")
        if call["policy-document"] == "file://deployer.json"
    ]  # fmt: skip
    app = setup.project.path.name
    region = f"eu-central-1:{ACCOUNT}"
    return SimpleNamespace(
        setup=setup,
        deployer=f"arn:aws:iam::{ACCOUNT}:role/{attached['role-name']}",
        policy=json.loads((setup.folder / "deployer.json").read_text()),
        resources={
            "ecr": f"arn:aws:ecr:{region}:repository/{app}",
            "cloudformation": f"arn:aws:cloudformation:{region}:stack/{app}/1",
            "lambda": f"arn:aws:lambda:{region}:function:{app}",
            "logs": f"arn:aws:logs:{region}:log-group:/aws/lambda/{app}",
        },
    )


def test_aws_s_deployer_can_deploy(aws):
    for service, actions in AWS_NEEDED.items():
        for action in actions:
            assert allows(aws.policy, f"{service}:{action}", aws.resources[service]), action


def test_aws_s_deployer_cannot_change_what_anyone_may_do(aws):
    service = aws.deployer.replace("-deploy", "-service")
    others = [f"arn:aws:iam::{ACCOUNT}:{name}" for name in ("role/other", "user/me", "policy/p")]
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER[8:]}"
    places = [aws.deployer, service, provider, *others, *aws.resources.values(), "*"]
    found = [
        (action, place)
        for action in AWS_CHANGES
        for place in places
        for passed in ("lambda.amazonaws.com", "cloudformation.amazonaws.com")
        if allows(aws.policy, action, place, **{"iam:PassedToService": passed})
    ]
    assert found == []


def test_aws_s_deployer_passes_one_role_to_one_service(aws):
    [role] = set(re.findall(r"role/([\w-]+)", aws.setup.project.read("deploy/template.yaml")))
    made = {call["role-name"]: call for call in calls(aws.setup, "aws", "iam", "create-role")}
    assert set(made) == {role, aws.deployer.rpartition("/")[2]}
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    passed = [
        (place, service)
        for place in (arn, arn + "s", aws.deployer, f"arn:aws:iam::{ACCOUNT}:role/admin", "*")
        for service in ("lambda.amazonaws.com", "cloudformation.amazonaws.com", None)
        if allows(aws.policy, "iam:PassRole", place, **{"iam:PassedToService": service})
    ]
    assert passed == [(arn, "lambda.amazonaws.com")]


@pytest.mark.slow
def test_aws_s_deployer_manages_no_permissions_but_the_function_s(aws, request):
    """The function's own policy makes it public; of all that AWS has, nothing else is allowed."""
    tools = request.getfixturevalue("validators")
    actions = json.loads(tools.call(manifest_checks.permission_actions, check=True).stdout)
    assert len(actions) > 400
    found = {
        (action, resource)
        for statement in aws.policy["Statement"]
        for place in [statement["Resource"]]
        for resource in ([place] if isinstance(place, str) else place)
        for action in actions
        if allows(aws.policy, action, resource, **{"iam:PassedToService": "lambda.amazonaws.com"})
    }
    service = f"{aws.deployer.removesuffix('-deploy')}-service"
    own = {f"lambda:{name}" for name in ("AddPermission", "RemovePermission")}
    assert found == {("iam:PassRole", service), *((name, aws.resources["lambda"]) for name in own)}


def test_aws_s_function_may_only_write_its_log(aws):
    policy = json.loads((aws.setup.folder / "log.json").read_text())
    [statement] = policy["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == aws.resources["logs"] + ":*"
    trust = json.loads((aws.setup.folder / "lambda.json").read_text())
    assert trust["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_aws_grants_nothing_beyond_the_named_resources(aws):
    """No pattern of a resource may match something with a longer name."""
    everywhere = {"ecr:GetAuthorizationToken", "logs:DescribeLogGroups"}
    for statement in aws.policy["Statement"]:
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            if resource == "*":
                assert set(statement["Action"]) == everywhere
            assert re.search(r"[^*](/\*|:\*)?\Z", resource) or resource == "*"
            assert not re.search(r"\w\*|\*\w", resource)
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert "*" not in action or action == "lambda:GetFunction*"


def test_aws_trusts_one_environment_of_one_repository(aws):
    [statement] = json.loads((aws.setup.folder / "trust.json").read_text())["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"]["Federated"].endswith(f":oidc-provider/{ISSUER[8:]}")
    assert statement["Condition"] == {
        "StringEquals": {
            f"{ISSUER[8:]}:aud": "sts.amazonaws.com",
            f"{ISSUER[8:]}:sub": SUBJECT,
            f"{ISSUER[8:]}:repository_id": str(NUMBER),
        }
    }


# Google Cloud: which role is granted on what. A role without setIamPolicy changes no access.

GOOGLE_ROLES = {  # on which kind of resource a role contains nothing that changes access
    "roles/artifactregistry.writer": "artifacts repositories",
    "roles/run.developer": "run services",
    "roles/iam.serviceAccountUser": "iam service-accounts",
}


@pytest.fixture(scope="module")
def google(setups):
    """Return the bindings: kind of resource, its name, role and member."""
    found = []
    for command, _ in setups["google-cloud-run"].calls:
        if "add-iam-policy-binding" in command:
            place = command.index("add-iam-policy-binding")
            given = options(command)
            kind = " ".join(command[1:place])
            found.append((kind, command[place + 1], given["role"], given["member"]))
    return found


def test_google_s_deployer_cannot_change_what_anyone_may_do(google):
    [deployer] = {member[15:] for *_, member in google if "-deploy@" in member}
    granted = [binding[:3] for binding in google if binding[3] == f"serviceAccount:{deployer}"]
    assert {role for *_, role in granted} == set(GOOGLE_ROLES)
    for kind, name, role in granted:
        assert GOOGLE_ROLES[role] == kind, f"{role} on {kind}"
        assert name != deployer  # or it could make keys for itself
    [service] = [name for kind, name, _ in granted if kind == "iam service-accounts"]
    assert "-service@" in service


def test_google_s_service_may_only_read_its_keys(google, setups):
    project = setups["google-cloud-run"].project
    granted = [binding for binding in google if "-service@" in binding[3]]
    [(kind, name, role, _)] = granted
    assert (kind, role) == ("secrets", "roles/secretmanager.secretAccessor")
    assert f'secretKeyRef: {{name: "{name}", key: latest}}' in project.read("deploy/service.yaml")


def test_google_trusts_one_environment_of_one_repository(google, setups):
    [provider] = calls(
        setups["google-cloud-run"],
        *("gcloud", "iam", "workload-identity-pools", "providers", "create-oidc"),
    )
    assert provider["issuer-uri"] == ISSUER
    mapped = dict(one.split("=") for one in provider["attribute-mapping"].split(","))
    assert mapped["attribute.repository_id"] == "assertion.repository_id"
    assert provider["attribute-condition"] == (
        f"assertion.sub == '{SUBJECT}' && assertion.repository_id == '{NUMBER}'"
    )
    members = [member for *_, role, member in google if role == "roles/iam.workloadIdentityUser"]
    assert [member.rpartition("/subject/")[2] for member in members] == [SUBJECT]


# Azure: what the built-in roles contain, as Azure documents them.

AZURE_ROLES = {
    "AcrPush": (["Microsoft.ContainerRegistry/registries/pull/read",
                 "Microsoft.ContainerRegistry/registries/push/write"], []),
    "Contributor": (["*"], ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write",
                            "Microsoft.Authorization/elevateAccess/Action"]),
    "Managed Identity Operator": (
        ["Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
         "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
         "Microsoft.Authorization/*/read", "Microsoft.Resources/deployments/*"], []),
}  # fmt: skip
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
AZURE_CHANGES = [
    f"{IDENTITY}/write",
    f"{IDENTITY}/delete",
    f"{IDENTITY}/federatedIdentityCredentials/write",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Authorization/roleDefinitions/write",
]


@pytest.fixture(scope="module")
def azure(setups):
    """Return the identities by name, and a function that tells what the deployer may do."""
    setup = setups["azure-container-apps"]
    identities = {
        call["name"]: f"/groups/{call['resource-group']}/identities/{call['name']}"
        for call in calls(setup, "az", "identity", "create")
    }
    [deployer] = [name for name in identities if name.endswith("-deploy")]
    granted = [
        (call["role"], call["scope"])
        for call in calls(setup, "az", "role", "assignment", "create")
        if call["assignee-object-id"] == f"principal of {deployer}"
    ]

    def among(action, patterns):
        return any(fnmatch.fnmatch(action.lower(), pattern.lower()) for pattern in patterns)

    def may(action, resource):
        """Return the roles that allow an action on a resource."""
        return [
            role
            for role, scope in granted
            if f"{resource}/".startswith(f"{scope}/")
            and among(action, AZURE_ROLES[role][0])
            and not among(action, AZURE_ROLES[role][1])
        ]

    return SimpleNamespace(setup=setup, identities=identities, deployer=deployer, may=may)


def test_azure_s_deployer_cannot_change_what_anyone_may_do(azure):
    [group] = {
        call["name"] for call in calls(azure.setup, "az", "group", "create")
        if not call["name"].endswith("-setup")
    }  # fmt: skip
    assert azure.may("Microsoft.App/containerApps/write", f"/groups/{group}/apps/app")
    places = [*azure.identities.values(), "", "/groups", "/groups/other"]
    for vault in calls(azure.setup, "az", "keyvault", "create"):
        places.append(f"/groups/{vault['resource-group']}/vaults/{vault['name']}")
    found = [
        (action, place) for action in AZURE_CHANGES for place in places if azure.may(action, place)
    ]
    assert found == []
    assert not azure.may("Microsoft.Authorization/roleAssignments/write", f"/groups/{group}")


def test_azure_s_deployer_may_give_the_app_its_own_identity_only(azure):
    assign = f"{IDENTITY}/name/assign/action"
    may = {name for name, place in azure.identities.items() if azure.may(assign, place)}
    assert may == set(azure.identities) - {azure.deployer}
    template = azure.setup.project.read("deploy/template.json")
    assert f"concat(resourceGroup().name, '-setup'), '{IDENTITY}', '{may.pop()}'" in template


def test_azure_trusts_one_environment_of_one_repository(azure):
    [credential] = calls(azure.setup, "az", "identity", "federated-credential", "create")
    assert credential["issuer"] == ISSUER
    assert credential["identity-name"] == azure.deployer
    assert credential["subject"] == SUBJECT


# Kubernetes: the roles, and the tokens that the API server accepts.


@pytest.fixture(scope="module")
def kubernetes(setups):
    """Return the configuration of the API server, the rules of the deployer, and its names."""
    setup = setups["kubernetes"]
    [text] = re.findall(r"^   ```yaml\n(.*?)^   ```$", setup.text, re.MULTILINE | re.DOTALL)
    piped = [part for _, typed in setup.calls if typed for part in yaml.safe_load_all(typed)]
    roles = {
        (part["kind"], part["metadata"]["name"]): part["rules"] for part in piped if "rules" in part
    }
    bindings = [part for part in piped if part["kind"].endswith("RoleBinding")]
    commands = [command for command, _ in setup.calls if command[0] == "kubectl"]
    return SimpleNamespace(
        setup=setup,
        server=yaml.safe_load(text),
        rules=[
            rule
            for binding in bindings
            for rule in roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        ],
        users=[(s["kind"], s["name"]) for binding in bindings for s in binding["subjects"]],
        kinds={part["kind"] for part in piped},
        # Roles that the cluster brings contain more than a deployment needs.
        others=[
            command for command in commands
            if {"rolebinding", "clusterrole", "clusterrolebinding"} & set(command)
        ],
    )  # fmt: skip


def may(rules, verb, group, resource):
    """Tell whether rules allow a verb."""
    return any(
        {group, "*"} & set(rule["apiGroups"])
        and {resource, "*"} & set(rule["resources"])
        and {verb, "*"} & set(rule["verbs"])
        for rule in rules
    )


def test_kubernetes_s_deployer_cannot_change_what_anyone_may_do(kubernetes):
    assert kubernetes.others == []
    assert kubernetes.kinds == {"Role", "RoleBinding"}
    verbs = ("create", "update", "patch", "delete", "bind", "escalate", "impersonate")
    resources = {
        "rbac.authorization.k8s.io": "roles rolebindings clusterroles clusterrolebindings",
        "": "namespaces users groups serviceaccounts/token nodes secrets pods/exec",
        "certificates.k8s.io": "certificatesigningrequests",
        "admissionregistration.k8s.io": "validatingwebhookconfigurations",
    }
    found = [
        (verb, resource)
        for verb in verbs
        for group, names in resources.items()
        for resource in names.split()
        if may(kubernetes.rules, verb, group, resource)
    ]
    assert found == []
    assert not any(may(kubernetes.rules, verb, "", "secrets") for verb in ("get", "list", "watch"))


def test_kubernetes_s_deployer_can_apply_the_manifests(kubernetes):
    for part in built_by_hand(kubernetes.setup.project):
        group = part["apiVersion"].rpartition("/")[0]
        kind = part["kind"].lower()
        resource = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
        for verb in ("get", "create", "patch"):
            assert may(kubernetes.rules, verb, group, resource), f"{verb} {resource}"
        assert kind != "namespace"
    for verb in ("list", "watch"):
        assert may(kubernetes.rules, verb, "apps", "deployments")
    for verb in ("get", "create"):
        assert may(kubernetes.rules, verb, "", "pods/portforward")


def authenticate(server, claims):
    """Return the user that the API server makes of a token's claims, or None."""
    [one] = server["jwt"]
    if claims["iss"] != one["issuer"]["url"] or claims["aud"] not in one["issuer"]["audiences"]:
        return None
    for rule in one.get("claimValidationRules", ()):
        if claims.get(rule["claim"]) != rule["requiredValue"]:
            return None
    user = one["claimMappings"]["username"]
    return user["prefix"] + claims[user["claim"]]


CLAIMS = {
    "iss": ISSUER,
    "aud": "kubernetes",
    "sub": SUBJECT,
    "repository_id": str(NUMBER),
    "environment": "production",
}


def test_kubernetes_knows_one_environment_of_one_repository(kubernetes):
    user = authenticate(kubernetes.server, CLAIMS)
    assert kubernetes.users == [("User", user)]
    assert user == f"github:{SUBJECT}"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://issuer.example"},
        {"aud": "sts.amazonaws.com"},
        {"repository_id": "1", "sub": SUBJECT.replace(str(NUMBER), "1")},
        {"repository_id": "1"},
        {"environment": "staging"},
        {"environment": None, "sub": f"{NAME}:ref:refs/heads/main"},
    ],
    ids=str,
)
def test_kubernetes_rejects_other_tokens(kubernetes, changes):
    assert authenticate(kubernetes.server, {**CLAIMS, **changes}) is None


def test_a_subject_cannot_pass_for_a_user_of_the_cluster(kubernetes):
    """Without a prefix, a subject could be system:admin's, or a service account's."""
    [one] = kubernetes.server["jwt"]
    assert one["claimMappings"]["username"]["prefix"] not in ("", "system:")


# Every target


def test_older_repositories_get_a_subject_with_numbers(setups):
    for setup in setups.values():
        commands = [command for command, _ in setup.calls if command[0] == "gh"]
        assert commands[0][4].endswith("/actions/oidc/customization/sub")
        assert {"PUT", "use_immutable_subject=true"} < set(commands[0])
        # Nothing trusts a name alone.
        assert not re.search(r"repo:\$REPOSITORY|repo:you/", setup.text)
