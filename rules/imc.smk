# The Image Matching Challenge: stereo from the matches, multiview from maps of many small bags of images, which are all
# made from one verified database. Its report is that of a benchmark of pairs.
IMC = "|".join(map(re.escape, settings.imc_datasets(config))) or "(?!)"


ruleorder: evaluate_imc > evaluate_pairs
ruleorder: evaluate_imc > evaluate
ruleorder: publish_imc > publish_pairs
ruleorder: publish_imc > publish


rule map_bags:
    input:
        dataset=dataset_file,
        database="work/{dataset}/{run}/database.db",
    output:
        bags="work/{dataset}/{run}/bags/{shard}.json",
    log:
        "logs/{dataset}/{run}/map_bags/{shard}.log",
    benchmark:
        "benchmarks/{dataset}/{run}/map_bags/{shard}.tsv"
    wildcard_constraints:
        dataset=IMC,
    conda:
        "../envs/colmap.yaml"
    threads: 8
    resources:
        mem_mb=grow_mem_mb,
        runtime="12h",
    params:
        settings=stage("mapping"),
        most=max_bags_option,
    shell:
        "exec trigpoint map-bags --settings {params.settings:q} --dataset {input.dataset}"
        " --database {input.database} {params.most} --shard {wildcards.shard}"
        " --num-threads {threads} --output {output.bags} > {log} 2>&1"


rule evaluate_imc:
    input:
        dataset=dataset_file,
        features="work/{dataset}/{run}/features.h5",
        matches="work/{dataset}/{run}/matches.h5",
        bags=bag_shards,
    output:
        metrics="work/{dataset}/{run}/metrics.json",
        rows="work/{dataset}/{run}/pairs.csv",
    log:
        "logs/{dataset}/{run}/evaluate_imc.log",
    benchmark:
        "benchmarks/{dataset}/{run}/evaluate_imc.tsv"
    wildcard_constraints:
        dataset=IMC,
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=grow_mem_mb,
        runtime="12h",
    params:
        settings=pair_evaluation,
    shell:
        "exec trigpoint evaluate-imc --settings {params.settings:q} --dataset {input.dataset}"
        " --run {wildcards.run} --features {input.features} --matches {input.matches}"
        " --bags {input.bags} --output {output.metrics} --rows {output.rows} > {log} 2>&1"


rule write_imc_submission:
    input:
        dataset=dataset_file,
        features="work/{dataset}/{run}/features.h5",
        matches="work/{dataset}/{run}/matches.h5",
    output:
        submissions=directory("work/{dataset}/{run}/imc_submission"),
    log:
        "logs/{dataset}/{run}/write_imc_submission.log",
    wildcard_constraints:
        dataset=IMC,
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=grow_mem_mb,
    shell:
        "exec trigpoint write-imc-submission --dataset {input.dataset} --run {wildcards.run}"
        " --features {input.features} --matches {input.matches}"
        " --output {output.submissions} > {log} 2>&1"


rule publish_imc:
    input:
        report="work/{dataset}/report",
        submissions=imc_submissions,
    output:
        results=directory("results/{dataset}"),
    log:
        "logs/{dataset}/publish_imc.log",
    wildcard_constraints:
        dataset=IMC,
    localrule: True
    conda:
        "../envs/base.yaml"
    shell:
        "exec trigpoint publish --report {input.report} --work work/{wildcards.dataset}"
        " --submissions {input.submissions} --output {output.results} > {log} 2>&1"
