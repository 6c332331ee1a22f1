"""No trained model: exponential smoothing, chosen and fitted in each request.

PORT=8002 python benchmarks/autoets_server.py SEASON_LENGTH, of at most 24 steps: AutoETS ignores
longer seasons
"""

import os
import sys
from datetime import datetime
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from statsforecast.models import AutoETS

SEASON_LENGTH = int(sys.argv[1])


class Record(BaseModel):
    ds: datetime
    y: float


class ForecastRequest(BaseModel):
    history: list[Record]
    h: int


app = FastAPI()


@app.post("/forecast")
def forecast(body: ForecastRequest) -> dict[str, Any]:
    y = np.array([record.y for record in body.history])
    found = AutoETS(season_length=SEASON_LENGTH).forecast(y=y, h=body.h, level=[80, 95])
    last = body.history[-1].ds.replace(tzinfo=None)
    step = body.history[-1].ds - body.history[-2].ds
    return {
        "model_version": "AutoETS",
        "forecast": [
            {
                "unique_id": "y",
                "ds": (last + step * (number + 1)).isoformat(),
                "y_hat": float(found["mean"][number]),
                "lo_80": float(found["lo-80"][number]),
                "hi_80": float(found["hi-80"][number]),
                "lo_95": float(found["lo-95"][number]),
                "hi_95": float(found["hi-95"][number]),
            }
            for number in range(body.h)
        ],
        "warning": None,
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
