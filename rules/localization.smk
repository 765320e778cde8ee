rule localize:
    input:
        dataset=ancient(dataset_file),
        features="work/{dataset}/{run}/features.h5",
        matches="work/{dataset}/{run}/matches.h5",
        pairs="work/{dataset}/{run}/pairs/query.txt",
        model="work/{dataset}/{run}/model",
    output:
        poses="work/{dataset}/{run}/poses.txt",
        localization="work/{dataset}/{run}/localization.json",
    log:
        "logs/{dataset}/{run}/localize.log",
    benchmark:
        "benchmarks/{dataset}/{run}/localize.tsv"
    conda:
        "../envs/colmap.yaml"
    threads: 8
    resources:
        mem_mb=memory_of("localize"),
    params:
        settings=stage("localization"),
        calibration=calibration_digest,
    shell:
        "exec trigpoint localize --settings {params.settings:q} --dataset {input.dataset}"
        " --features {input.features} --matches {input.matches} --pairs {input.pairs}"
        " --model {input.model} --num-threads {threads} --output {output.poses}"
        " --log {output.localization} > {log} 2>&1"


rule write_submission:
    input:
        dataset=ancient(dataset_file),
        poses="work/{dataset}/{run}/poses.txt",
    output:
        submissions=directory("work/{dataset}/{run}/submissions"),
    log:
        "logs/{dataset}/{run}/write_submission.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        calibration=calibration_digest,
    shell:
        "exec trigpoint write-submission --dataset {input.dataset} --run {wildcards.run}"
        " --poses {input.poses} --output {output.submissions} > {log} 2>&1"
