"""The encoder that is not served, to tell what training has gained."""

from portfolio_kit.artifacts import MODELS
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.text.encoder import Encoder, fetch_backbone, load_backbone

from ..params import Params
from ..predictor import NOT_SERVED, Manifest
from ..training.candidates import Candidate, embed, load, make


def not_served(model: Manifest, documents: Documents, params: Params) -> Candidate | None:
    """Return the pretrained encoder if the fine-tuned one is served, or the other way round.

    None: nothing was fine-tuned. All but the weights is as in `model`. The documents' vectors are
    those of the training run, if they are still there.
    """
    if model.is_fine_tuned:
        backbone = fetch_backbone(params.model.backbone, params.model.sha256)
        encoder = Encoder(load_backbone(backbone))
        return make("pretrained", encoder, backbone, documents, model, params)
    if f"{NOT_SERVED}/model.onnx" not in model.files:
        return None
    return embed("fine_tuned", load("fine_tuned", MODELS / NOT_SERVED, model, params), documents)
