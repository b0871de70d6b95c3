"""Settings of routing: how agents are compared, when several are asked, what is learned, and experiments.

Part of ``configs.settings``, split off for size; their defaults live here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from configs.catalogue import CostTier
from configs.section import File, Name, Section, Share, at_most

Gain = Annotated[float, Field(gt=0.0, le=1.0)]


class RoutingSettings(Section):
    """Zero-shot router (route.discover, route.score). Intent = similarity + what cues and keywords add."""

    example_weight: Share = 0.6
    """Share of an agent's similarity that comes from its nearest text; the rest from the centre of its texts."""
    examples_min: Annotated[int, Field(ge=0)] = 3
    """An agent with fewer examples is also known by its keywords and the phrases of its description."""
    cue_bonus: Share = 0.35
    """Added once when a question contains one of the agent's cues; at least ``out_of_scope`` to outrank it."""
    cue_margin: Share = 0.2
    """A cue does not count when a text of the general agent is nearer to the question by more than this."""
    keyword_bonus: Share = 0.08
    keyword_hits_max: PositiveInt = 3
    keyword_chars: PositiveInt = 4_000
    """Cues and keywords are looked for in this much of a question, half at its start and half at its end."""
    familiarity_min: Share = 0.68
    """Below this share of known words the encoder does not know the language, and only cues count."""
    out_of_scope: Share = 0.28
    """Below this intent match the question goes to ``general_agent``."""
    prompt_token_bytes: PositiveFloat = 4.0
    """UTF-8 bytes that count as one token where the length of a prompt is estimated to order models."""
    limits_s: PositiveFloat = 60.0
    """How long a provider's remaining rate limit is believed when it does not say when that is reset."""
    shortlist: PositiveInt = 16
    """Agents that are compared in full and listed in the decision."""
    temperature: PositiveFloat = 0.04
    """Softmax temperature that turns scores into confidence."""
    head_weight: Share = 0.08
    """A trained head lowers an agent's intent by this times the log of its probability; agents that the head does
    not know keep theirs."""
    head_floor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    """No probability of the head counts as less, so that a cue can outweigh it."""
    own_head_weight: Annotated[float, Field(gt=0.0, le=1.0)] = 0.045
    """The same for a head of your own (``artifact``), which decides among the agents it knows; confidence is then
    its calibrated probability. Times the log of ``own_head_floor`` it stays below ``cue_bonus``."""
    own_head_floor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.001
    """How much less probable than the best an agent may count there at most, so that a cue can outweigh it."""
    temperature_trained: PositiveFloat = 0.06
    """``temperature`` where a trained head took part."""
    general_agent: Name = "general"
    weight_success: Share = 0.2
    weight_cost: Share = 0.02
    weight_latency: Share = 0.02
    """Exponents: score = intent × success^w × cost^w × latency^w."""
    cost_factors: dict[CostTier, Share] = Field(default={"free": 1.0, "low": 0.9, "medium": 0.7, "high": 0.5})
    latency_half_ms: PositiveFloat = 10_000.0
    """An agent this slow has latency factor one half."""
    cost_half_micros: PositiveFloat = 20_000.0
    """An agent whose answers cost this much, in micro-dollars, has cost factor one half."""
    evidence: PositiveInt = 20
    """After so many outcomes, measured cost and latency weigh as much as what the agent declares."""
    fallback_agents: tuple[Name, ...] = ("general",)
    artifact: File | None = None
    """Folder of a trained head (`switchgear train router`). ``None``: the shipped one."""
    trained: bool = True
    """``False``: route by the agents' texts alone, whatever artifact there is."""


class LevelShares(Section):
    """A share for each kind of work."""

    simple: Share
    medium: Share
    complex: Share


class StrategySettings(Section):
    """When several agents are asked, and when an answer is refined: by what is gained and paid (route.strategy).

    The shares are assumptions until your own history says better; docs/strategies.md shows what follows from them.
    """

    answer_worth: PositiveFloat = 25.0
    """What a good answer is worth, in multiples of what one answer costs. At 1 one agent always answers alone."""
    good: LevelShares = LevelShares(simple=0.95, medium=0.85, complex=0.6)
    """How often one answer of the right agent is good."""
    refined: LevelShares = LevelShares(simple=0.95, medium=0.9, complex=0.8)
    """The same after draft, refinement and polish."""
    misrouted: Share = 0.3
    """How often an answer of another agent is good."""
    judged: Share = 0.9
    """How often the best of several answers is recognised."""
    parallel_cost: PositiveFloat = 3.0
    """Of three agents at once, in answers."""
    cascade_cost: PositiveFloat = 3.0
    """Of three steps, in answers."""


class TrainSettings(Section):
    """`switchgear train` (route.train)."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Of the split, the sample and the fine-tuning: the same rows give the same artifact."""
    rows_max: PositiveInt = 50_000
    """Of more rows a sample is used, the same share of every label. A thousand rows take about six seconds."""
    labels_max: PositiveInt = 2_000
    field_chars_max: PositiveInt = 131_072
    """A longer text or label is a mistake, most often a quotation mark that nothing closes."""
    test_share: Share = 0.2
    """Part of every label's rows that only the figures are made from."""
    calibration_share: Share = 0.1
    """Part of the rest that is kept to choose confidence and threshold on, where cross-validation cannot: with
    ``--finetune``, and without out-of-scope rows."""
    reject_max: Share = 0.02
    """Without out-of-scope rows: at most this share of the calibration rows may be turned away."""
    out_of_scope: str = "oos"
    """Label of rows that belong to none of the others: the head learns to turn their like away."""
    out_of_scope_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.18
    """Expected share of texts that are for none of the labels, as in CLINC150: the threshold is chosen for it."""
    words: Annotated[int, Field(ge=0, le=1_048_576)] = 4_096
    """Places of the table of words beside the vector; 0 looks at vectors alone."""
    vector_scale: PositiveFloat = 5.0
    word_scale: PositiveFloat = 2.5
    """How far vector and words may pull before the penalty holds them."""
    penalty: PositiveFloat = 1e-4
    iterations: PositiveInt = 40
    """Steps of L-BFGS at most; more of them fit the rows better and new texts no better."""
    folds: Annotated[int, Field(ge=2)] = 5
    folds_large: Annotated[int, Field(ge=2)] = 3
    """Parts of the rows that are judged in turn by a head fitted on the others: blend, confidence and threshold
    come from these. ``folds_large`` from ``large_rows`` rows."""
    large_rows: PositiveInt = 5_000
    examples_max: PositiveInt = 10_000
    """Rows kept for the vote of the nearest, spread over the labels; 384 bytes each."""
    sharpness: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (10.0, 20.0, 40.0, 80.0)
    """How much a nearer example outvotes a farther one; the best of these is taken."""
    complexity_vector_penalty: PositiveFloat = 0.75
    """Complexity head: how much the weights of a question's vector are kept small."""
    complexity_traits_penalty: PositiveFloat = 0.5
    """The same for the weights of its traits, which are fewer and say more."""
    complexity_balance: Share = 0.5
    """Weight of the rare levels, from 0 (every row counts the same) to 1 (every level does)."""
    verifier_penalty: PositiveFloat = 0.05
    """Verifier: how much its weights are kept small."""
    verifier_strangers: Annotated[int, Field(ge=0)] = 2
    """Questions of other families that are taken as different from each question, the nearest ones."""
    verifier_edits: Annotated[int, Field(ge=0)] = 150
    """Pairs of each kind that are made by rule from the questions learned from; 0 makes none."""
    verifier_false_hits: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.018
    """Share of different questions that may be taken for the same: its thresholds are chosen for it. Less than the
    2 % that are promised, for chance."""
    verifier_passed_edits: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    """At most this share of the different small edits that the guard lets pass, which are few, may be taken for
    the same; of the rewordings that it lets pass, ``verifier_false_hits``."""
    verifier_negatives_min: PositiveInt = 200
    """Written or made pairs that differ and that the guard lets pass: with fewer small edits (rewordings) among
    them, no small edit (rewording) is ever accepted. So many without one false hit tell 1.6 % from more."""
    verifier_folds: Annotated[int, Field(ge=2)] = 5
    """Parts that are judged in turn by a verifier fitted on the others; thresholds and figures come from these."""
    finetune_epochs: PositiveInt = 3
    finetune_batch: PositiveInt = 32
    """Texts in one step: pairs of one label, each pair of another one."""
    finetune_rate: PositiveFloat = 2e-5
    """Learning rate of AdamW."""
    fidelity_min: Share = 0.999
    """Mean cosine between the fine-tuned encoder and its ONNX file; below it nothing is written."""


class LearnSettings(Section):
    """What outcomes teach the router (route.learn)."""

    enabled: bool = True
    shared: bool = True
    """Averages live in ``redis.state``, the same for all replicas; ``False`` keeps them in this process."""
    explore: Literal["ema", "thompson", "linucb"] = "ema"
    """How agents are tried that have done badly or are new. ``ema``: probes only."""
    prior: Share = 1.0
    """Success of whoever nobody has asked yet; what is known of an agent that nobody asks drifts back to it."""
    half_life_s: PositiveFloat = 1_800.0
    """After so long without a question, half of the way back to ``prior``."""
    alpha: Gain = 0.1
    """How far one outcome moves an average."""
    probe_alpha: Gain = 0.3
    """The same for an agent on probation, whose outcomes are few."""
    sound: Gain = 0.9
    """Success of an agent that does well, and"""
    failing: Gain = 0.5
    """of one that does not. Which of them an agent is, is told by the likelihood ratio of its latest outcomes."""
    probation_odds: Annotated[float, Field(gt=1.0)] = 3_000.0
    """From these odds of failing on an agent is on probation: asked by probes only, while somebody else can be."""
    release_odds: Annotated[float, Field(gt=1.0)] = 18.0
    """Probes that change the odds by this factor end probation."""
    probe_share: Gain = 0.08
    """Share of its own questions that an agent on probation gets."""
    explore_max: Gain = 0.1
    """Share of requests that may be answered by somebody else than the best, however one explores. Between two
    probes of an agent there are at least ``1 / explore_max`` of its questions."""
    hazard_max: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """Highest probability of a probe in one request, so that both choices keep one (off-policy evaluation)."""
    context_alpha: Gain = 0.02
    """``linucb``: how fast what was learned about contexts is forgotten."""
    context_width: PositiveFloat = 1.0
    """``linucb``: how many standard deviations of doubt count in favour of an agent."""
    refresh_s: PositiveFloat = 1.0
    """How old this process's copy of the shared averages may get before it is fetched again, in the background."""
    send_s: PositiveFloat = 0.05
    """Outcomes of so long travel to Redis in one message."""
    unsent_max: PositiveInt = 1_000
    """Outcomes that wait to be sent; beyond it, and while Redis is gone, they count in this process only."""
    alone_s: PositiveFloat = 5.0
    """A Redis that was lost is asked again after so long."""
    kept_s: PositiveInt = 604_800
    """How long the averages of an agent or model are kept that nobody uses."""
    subjects_max: PositiveInt = 10_000
    """Agents and models with averages."""

    @model_validator(mode="after")
    def _ordered(self) -> LearnSettings:
        if not self.failing < self.sound < 1.0:
            raise ValueError(f"failing ({self.failing}) must be below sound ({self.sound}), and that below 1")
        at_most(self, "release_odds", "probation_odds")
        at_most(self, "probe_share", "explore_max")
        return self


class RegistrySettings(Section):
    """Agents registered at run time, known to all replicas (route.discover)."""

    shared: bool = True
    """They live in ``redis.state``; ``False`` keeps those of each process to itself."""
    poll_s: PositiveFloat = 0.5
    """A replica looks for changes this often, and at once when it hears of one."""
    retry_s: PositiveFloat = 2.0
    """How long it waits when ``redis.state`` is not there."""
    entries_max: PositiveInt = 2_000
    """Agents in the shared registry; more are refused."""
    entry_bytes_max: PositiveInt = 65_536
    """Of one agent as JSON, examples and instructions and all."""
    handler_s: PositiveFloat = 15.0
    """A replica that is silent for so long has taken its Python handlers with it."""
    keep_s: PositiveInt = 2_592_000
    """What is registered is forgotten when no replica has run for so long."""
