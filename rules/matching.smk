rule match_pairs:
    input:
        dataset=ancient(dataset_file),
        features="work/{dataset}/{run}/features.h5",
        pairs=pair_lists,
        weights=matcher_weights,
    output:
        matches=temp("work/{dataset}/{run}/matches/{shard}.h5"),
    log:
        "logs/{dataset}/{run}/match_pairs/{shard}.log",
    benchmark:
        "benchmarks/{dataset}/{run}/match_pairs/{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=grow_mem_mb,
        gpu=0,
        runtime="4h",
    params:
        settings=stage("matching"),
        device=config["device"],
    shell:
        "exec trigpoint match-pairs --settings {params.settings:q} --dataset {input.dataset}"
        " --features {input.features} --pairs {input.pairs} --shard {wildcards.shard}"
        " --device {params.device} --num-workers {threads} --output {output.matches} > {log} 2>&1"


rule gather_matches:
    input:
        shards=pair_shards,
    output:
        matches="work/{dataset}/{run}/matches.h5",
    log:
        "logs/{dataset}/{run}/gather_matches.log",
    conda:
        "../envs/base.yaml"
    shell:
        "exec trigpoint gather --kind matches --shards {input.shards}"
        " --output {output.matches} > {log} 2>&1"
