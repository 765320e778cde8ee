rule evaluate:
    input:
        dataset=ancient(dataset_file),
        features="work/{dataset}/{run}/features.h5",
        matches="work/{dataset}/{run}/matches.h5",
        pairs="work/{dataset}/{run}/pairs/map.txt",
        database="work/{dataset}/{run}/database.db",
        model="work/{dataset}/{run}/model",
        mapping="work/{dataset}/{run}/mapping.json",
        localization=localization_outputs,
        merging=merge_log,
    output:
        metrics="work/{dataset}/{run}/metrics.json",
    log:
        "logs/{dataset}/{run}/evaluate.log",
    benchmark:
        "benchmarks/{dataset}/{run}/evaluate.tsv"
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=memory_of("evaluate"),
    params:
        settings=stage("evaluation"),
        truth=calibration_digest,
        localization=localization_options,
        merging=merge_options,
    shell:
        "exec trigpoint evaluate --settings {params.settings:q} --dataset {input.dataset}"
        " --run {wildcards.run} --features {input.features} --matches {input.matches}"
        " --pairs {input.pairs} --database {input.database} --model {input.model}"
        " --mapping {input.mapping} {params.localization} {params.merging}"
        " --output {output.metrics} > {log} 2>&1"
