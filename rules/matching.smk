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
    wildcard_constraints:
        run=FEATURE_RUN,
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=memory_of("match_pairs"),
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
        shards=match_shards,
    output:
        matches="work/{dataset}/{run}/matches.h5",
    log:
        "logs/{dataset}/{run}/gather_matches.log",
    wildcard_constraints:
        run=FEATURE_RUN,
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=memory_of("gather_matches"),
    shell:
        "exec trigpoint gather --kind matches --shards {input.shards}"
        " --output {output.matches} > {log} 2>&1"


rule match_images:
    input:
        dataset=ancient(dataset_file),
        pairs=pair_lists,
        weights=method_weights,
    output:
        correspondences="work/{dataset}/{run}/correspondences/{shard}.h5",
    log:
        "logs/{dataset}/{run}/match_images/{shard}.log",
    benchmark:
        "benchmarks/{dataset}/{run}/match_images/{shard}.tsv"
    wildcard_constraints:
        run=PAIR_RUN,
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=grow_mem_mb,
        gpu=0,
        runtime="12h",
    params:
        settings=stage("correspondences"),
        device=config["device"],
        images=image_signatures,
    shell:
        "exec trigpoint match-pairs --settings {params.settings:q} --dataset {input.dataset}"
        " --pairs {input.pairs} --shard {wildcards.shard} --device {params.device}"
        " --num-workers {threads} --output {output.correspondences} > {log} 2>&1"


rule merge_keypoints:
    input:
        dataset=ancient(dataset_file),
        shards=correspondence_shards,
    output:
        features="work/{dataset}/{run}/features.h5",
        matches="work/{dataset}/{run}/matches.h5",
        merging="work/{dataset}/{run}/merge.json",
    log:
        "logs/{dataset}/{run}/merge_keypoints.log",
    benchmark:
        "benchmarks/{dataset}/{run}/merge_keypoints.tsv"
    wildcard_constraints:
        run=PAIR_RUN,
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow_mem_mb,
    params:
        settings=stage("merging"),
        images=image_names,
    shell:
        "exec trigpoint merge-keypoints --settings {params.settings:q}"
        " --dataset {input.dataset} --shards {input.shards} --features {output.features}"
        " --matches {output.matches} --log {output.merging} > {log} 2>&1"
