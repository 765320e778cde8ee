from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/pairs.smk"
include: "rules/features.smk"
include: "rules/matching.smk"
include: "rules/mapping.smk"
include: "rules/localization.smk"
include: "rules/evaluation.smk"
include: "rules/flow.smk"
include: "rules/inloc.smk"
include: "rules/pair_benchmarks.smk"
include: "rules/imc.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        "results/demo",
