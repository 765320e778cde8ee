checkpoint fetch:
    output:
        fetched="work/{dataset}/fetched.json",
    log:
        "logs/{dataset}/fetch.log",
    retries: 3
    conda:
        "../envs/base.yaml"
    resources:
        runtime="12h",
    params:
        root=root_of,
    shell:
        "exec trigpoint fetch --dataset {wildcards.dataset} --root {params.root:q}"
        " --downloads data/downloads $TRIGPOINT_MIRRORS"
        " --output {output.fetched} > {log} 2>&1"


checkpoint prepare:
    input:
        fetched=fetched,
    output:
        dataset="work/{dataset}/dataset.json",
    log:
        "logs/{dataset}/prepare.log",
    benchmark:
        "benchmarks/{dataset}/prepare.tsv"
    conda:
        "../envs/colmap.yaml"
    params:
        layout=layout_of,
        root=root_of,
        images=tree_digest,
        settings=preparation("prepare"),
        strict="--strict" if config["strict"] else "",
    shell:
        "exec trigpoint prepare --dataset {wildcards.dataset} --layout {params.layout}"
        " --root {params.root:q} --settings {params.settings:q} {params.strict}"
        " --output {output.dataset} > {log} 2>&1"


rule fetch_weights:
    output:
        weights=protected(f"{WEIGHTS_FOLDER}/{{file}}"),
    log:
        "logs/weights/{file}.log",
    retries: 3
    conda:
        "../envs/base.yaml"
    params:
        name=weights_name,
    shell:
        "exec trigpoint fetch-weights {params.name} > {log} 2>&1"
