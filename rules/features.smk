rule extract_features:
    input:
        dataset=ancient(dataset_file),
        weights=method_weights,
        pairs=pairs_that_limit,
    output:
        features="work/{dataset}/{run}/features/{shard}.h5",
    log:
        "logs/{dataset}/{run}/extract_features/{shard}.log",
    benchmark:
        "benchmarks/{dataset}/{run}/extract_features/{shard}.tsv"
    wildcard_constraints:
        run=FEATURE_RUN,
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=memory_of("extract_features"),
        gpu=0,
        runtime="4h",
    params:
        settings=stage("features"),
        device=config["device"],
        images=shard_signature,
        limit=limit_options,
    shell:
        "exec trigpoint extract-features --settings {params.settings:q}"
        " --dataset {input.dataset} {params.limit} --shard {wildcards.shard} --device {params.device}"
        " --num-workers {threads} --output {output.features} > {log} 2>&1"


rule gather_features:
    input:
        shards=image_shards,
    output:
        features="work/{dataset}/{run}/features.h5",
    log:
        "logs/{dataset}/{run}/gather_features.log",
    wildcard_constraints:
        run=FEATURE_RUN,
    conda:
        "../envs/base.yaml"
    shell:
        "exec trigpoint gather --kind features --shards {input.shards}"
        " --output {output.features} > {log} 2>&1"
